"""What is made of a picture and of a segment: the gate, the classifiers' turn, the verdict and its accounting."""
