"""Models and figures that only judge: no path of the package uses them."""
