module funcrec.test/hot

go 1.21
