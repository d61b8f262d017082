module funcrec.test/load

go 1.22
