"""What helps a model learn: under noise, and from few patients."""
