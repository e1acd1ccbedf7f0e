"""Everything that speaks AMQP: what arrives, what is published, how a delivery is settled."""
