"""The inspector: a browser page that shows captures as they arrive, explains them and sends them again."""
