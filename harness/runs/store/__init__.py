"""The files of a run: JSON Lines that survive a kill, the folder, its copy at a URL, and the reader."""
