"""What checks an image, a compose file and a virtual machine, really built and run."""
