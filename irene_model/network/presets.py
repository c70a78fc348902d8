"""The presets that give an IRENE model its width and depth.

They hold what is a choice of capacity. What the data decides (image, text, laboratory panel,
labels) comes from the study. Plain numbers: who shows them needs no torch.
"""

PRESETS: dict[str, dict[str, int | float]] = {
    # For tests, demonstrations and small cohorts on a CPU.
    "tiny": {
        "hidden_size": 64,
        "num_hidden_layers": 3,
        "num_bidirectional_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    "small": {
        "hidden_size": 384,
        "num_hidden_layers": 8,
        "num_bidirectional_layers": 2,
        "num_attention_heads": 6,
        "intermediate_size": 1536,
        "hidden_dropout_prob": 0.1,
        # Dropout on attention costs much time and memory in training: docs/researcher.md.
        "attention_probs_dropout_prob": 0.0,
    },
    # The authors' model: Zhou et al., Nature Biomedical Engineering 2023.
    "base": {
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_bidirectional_layers": 2,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_dropout_prob": 0.3,
        "attention_probs_dropout_prob": 0.2,
    },
}
