"""The pages owners, managers and accountants work on. They show what services answer and decide nothing themselves."""
