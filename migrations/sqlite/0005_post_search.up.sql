-- Every three characters that follow one another in a title, case counting. The titles
-- themselves stay in posts; positions are not kept (detail = none), as the search looks at the
-- title before it believes the index.
CREATE VIRTUAL TABLE post_search USING fts5 (
    title,
    content = 'posts',
    content_rowid = 'id',
    tokenize = 'trigram case_sensitive 1',
    detail = none
);

-- The newest posts come first, and a page of the index is read as a whole before its end is known:
-- small pages make a short way to the newest.
INSERT INTO post_search (post_search, rank) VALUES ('pgsz', 1000);

INSERT INTO post_search (post_search) VALUES ('rebuild');

-- A search looks into every segment of the index for each of its trigrams: one segment is many
-- times less work, and leaves none of the merging to those who write next.
INSERT INTO post_search (post_search) VALUES ('optimize');

CREATE TRIGGER posts_searchable_after_insert AFTER INSERT ON posts BEGIN
    INSERT INTO post_search (rowid, title) VALUES (new.id, new.title);
END;

CREATE TRIGGER posts_searchable_after_update AFTER UPDATE OF title ON posts
WHEN old.title IS NOT new.title BEGIN
    INSERT INTO post_search (post_search, rowid, title) VALUES ('delete', old.id, old.title);
    INSERT INTO post_search (rowid, title) VALUES (new.id, new.title);
END;

CREATE TRIGGER posts_searchable_after_delete AFTER DELETE ON posts BEGIN
    INSERT INTO post_search (post_search, rowid, title) VALUES ('delete', old.id, old.title);
END;
