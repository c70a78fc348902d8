"""The same job by this product and by what others publish for it, each in a place of its own."""
