module funcrec.test/fetch

go 1.21
