DROP INDEX votes_user;
DROP INDEX posts_owner;
DROP INDEX posts_published;
