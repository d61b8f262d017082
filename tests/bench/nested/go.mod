module funcrec.test/nested

go 1.22
