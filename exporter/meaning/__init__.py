"""What a model's outputs mean: the task, a name and axes for each, what is added to them."""
