DROP INDEX posts_created;
