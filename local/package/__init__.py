"""The functions' packages: what Cloud Functions builds each of them from."""
