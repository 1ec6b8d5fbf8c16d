-- The lists in the order of time, published posts and drafts apart. The ID follows by itself.
CREATE INDEX posts_created ON posts (published, created_at);
