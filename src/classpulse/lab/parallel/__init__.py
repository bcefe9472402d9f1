"""The parallel schemes of the engagement paper: pool, features, convolution, SVM, laws, cluster."""
