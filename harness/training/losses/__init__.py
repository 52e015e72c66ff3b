"""What a step of training minimises: losses of tokens, weights of tasks, how several tasks are balanced."""
