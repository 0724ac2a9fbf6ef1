"""Tests of Kafka messages, and of the records that hold them."""
