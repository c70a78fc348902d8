"""The clinical vocabulary: from which public lists it is made, and how much of real notes it knows."""
