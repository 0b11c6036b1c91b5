"""Running the programs: on this machine (demo, up, down), in images, on a fleet."""
