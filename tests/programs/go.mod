module funcrec.test/programs

go 1.21
