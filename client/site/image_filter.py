"""Which radiographs a hospital gives to a study, by what their DICOM headers say."""

from pydantic import Field, field_validator

from irene_model.study import Settings


class ImageFilter(Settings):
    """Records whose header says another view or modality are left out; all that say none are kept.

    views: values of ViewPosition, as PA and AP. modality: of Modality, as CR and DX. Empty: any.
    most_megapixels: of one radiograph, in millions; a file that announces more is refused before
        it is unpacked, and each decoding worker holds one at a time.
    """

    views: tuple[str, ...] = Field(default=())
    modality: tuple[str, ...] = Field(default=())
    most_megapixels: float = Field(default=100, gt=0, le=1000)

    @field_validator("views", "modality")
    @classmethod
    def _in_capitals(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        """DICOM's code strings are in capitals."""
        cleaned = tuple(word.strip().upper() for word in words)
        if "" in cleaned:
            raise ValueError("holds an empty word; list what is wanted, as [PA, AP]")
        return cleaned

    @property
    def most_pixels(self) -> int:
        """Pixels of one radiograph."""
        return round(self.most_megapixels * 1e6)

    @property
    def asks(self) -> bool:
        """Whether anything can be left out."""
        return bool(self.views or self.modality)
