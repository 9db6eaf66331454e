-- The hosts that ought to report. A host that never ran has no record anywhere: only a list made
-- elsewhere can miss it.
CREATE OR REPLACE VIEW @database@.hosts AS
SELECT host FROM UNNEST(ARRAY[@host_list@]) AS t(host);
