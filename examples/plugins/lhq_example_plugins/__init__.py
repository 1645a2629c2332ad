"""One example of everything that a package may add to LHQ Toolkit; each module stands for itself."""
