terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "secret_arn" {
  type        = string
  description = "The ARN of the client secret in Secrets Manager."
}

variable "package" {
  type        = string
  description = "The zip file with app.py and what it needs."
}

resource "aws_iam_role" "hooks" {
  name = "port-hooks"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.hooks.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_iam_role_policy" "secret" {
  role = aws_iam_role.hooks.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "secretsmanager:GetSecretValue"
      Resource = var.secret_arn
    }]
  })
}

resource "aws_lambda_function" "hooks" {
  function_name    = "port-hooks"
  role             = aws_iam_role.hooks.arn
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  handler          = "app.handler"
  runtime          = "python3.13"
  architectures    = ["x86_64"]
  memory_size      = 256
  timeout          = 20

  environment {
    variables = { PORT_SECRET_ID = var.secret_arn }
  }
}

resource "aws_apigatewayv2_api" "hooks" {
  name          = "port-hooks"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_integration" "hooks" {
  api_id                 = aws_apigatewayv2_api.hooks.id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.hooks.invoke_arn
  payload_format_version = "2.0"
}

resource "aws_apigatewayv2_route" "port" {
  api_id    = aws_apigatewayv2_api.hooks.id
  route_key = "POST /port"
  target    = "integrations/${aws_apigatewayv2_integration.hooks.id}"
}

resource "aws_apigatewayv2_stage" "default" {
  api_id      = aws_apigatewayv2_api.hooks.id
  name        = "$default"
  auto_deploy = true
}

resource "aws_lambda_permission" "api" {
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.hooks.function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.hooks.execution_arn}/*/*/port"
}

output "url" {
  value = "${aws_apigatewayv2_api.hooks.api_endpoint}/port"
}
