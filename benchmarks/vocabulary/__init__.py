"""The clinical vocabulary: the public lists that it is made of, and how much of notes it knows."""
