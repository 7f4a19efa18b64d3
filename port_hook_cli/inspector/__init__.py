"""The inspector: a page in the browser that shows captures as they arrive, explains them and sends them again."""
