"""The topics, their settings and who may use them: what the chain wants, what a cluster has, and the difference."""
