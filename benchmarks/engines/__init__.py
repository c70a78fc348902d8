"""The steps that are measured, and the engines and the slow model that they are held against."""
