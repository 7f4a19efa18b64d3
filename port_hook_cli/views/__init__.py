"""Pure presentation: values to text and rich renderables."""
