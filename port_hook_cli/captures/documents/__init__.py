"""A capture or a request as a document: files that a user keeps or gives, and what is left of a cut body."""
