"""What is told of a fact: how severe it is, in which words, by which template."""
