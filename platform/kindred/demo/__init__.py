"""The demo: a catalogue of drawn pottery, and the main job run on it from import to search."""
