module github.com/teems-go/teems

go 1.26.8
