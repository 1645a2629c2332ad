"""`lhq report`: one HTML file that tells how a subset came about, for a person and for a paper's appendix."""
