"""A real Apache Kafka on loopback: one process that is broker and controller."""
