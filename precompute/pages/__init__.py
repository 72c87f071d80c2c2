"""Pages of HTML in one file each: plain data in, tables, charts and pictures out; they know no dataset."""
