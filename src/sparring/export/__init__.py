"""A trained run in forms that others can use: a folder that sparring opens, ONNX files, a repository on the hub."""
