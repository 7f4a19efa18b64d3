"""Kafka: the topics of Port's execution agent, read and written through confluent-kafka."""
