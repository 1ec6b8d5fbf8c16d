-- The public list, newest first, whatever lies between in drafts.
CREATE INDEX posts_published ON posts (id) WHERE published = 1;
-- An author's drafts, newest first; and what goes with an account.
CREATE INDEX posts_owner ON posts (owner_id, published);
-- What goes with an account.
CREATE INDEX votes_user ON votes (user_id);
