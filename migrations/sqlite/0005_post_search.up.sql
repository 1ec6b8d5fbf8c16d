-- Every three characters that follow one another in the first 1,000 of a title, case counting: what a
-- search looks at. A title may be much longer, and indexing it would hold up whoever writes next.
CREATE VIEW searched_titles AS SELECT id, substr(title, 1, 1000) AS title FROM posts;

-- The titles themselves stay in posts; positions are not kept (detail = none), as the search looks
-- at the title before it believes the index.
CREATE VIRTUAL TABLE post_search USING fts5 (
    title,
    content = 'searched_titles',
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
    INSERT INTO post_search (rowid, title) VALUES (new.id, substr(new.title, 1, 1000));
END;

CREATE TRIGGER posts_searchable_after_update AFTER UPDATE OF title ON posts
WHEN substr(old.title, 1, 1000) IS NOT substr(new.title, 1, 1000) BEGIN
    INSERT INTO post_search (post_search, rowid, title)
    VALUES ('delete', old.id, substr(old.title, 1, 1000));
    INSERT INTO post_search (rowid, title) VALUES (new.id, substr(new.title, 1, 1000));
END;

CREATE TRIGGER posts_searchable_after_delete AFTER DELETE ON posts BEGIN
    INSERT INTO post_search (post_search, rowid, title)
    VALUES ('delete', old.id, substr(old.title, 1, 1000));
END;
