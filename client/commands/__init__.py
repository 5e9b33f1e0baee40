"""The commands of `posterity`, by what they touch."""
