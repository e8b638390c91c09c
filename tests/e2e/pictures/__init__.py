"""The dashboard as pictures: `make pictures`."""
