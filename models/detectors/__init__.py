"""Networks that find things in pictures, behind one interface: `base.Detector`."""
