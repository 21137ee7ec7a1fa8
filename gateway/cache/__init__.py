"""What may be lost: in Redis, or in this process. The one door to Redis; may import `protocol`."""
