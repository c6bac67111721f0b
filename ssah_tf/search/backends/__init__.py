"""Where an index is kept beside a folder: PostgreSQL and Milvus."""
