"""The wire: .proto files with their generated code beside them."""
